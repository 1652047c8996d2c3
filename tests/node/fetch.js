// Node's own fetch.
fetch('https://fetch.test/notes', {method: 'POST', body: JSON.stringify({text: 'hi'})})
  .then(answer => { if (!answer.ok) throw new Error(answer.status) })
  .catch(error => { console.error(error.message); process.exit(1) })
