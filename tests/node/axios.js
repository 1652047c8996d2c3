// axios as it is now.
require('axios').post('https://axios.test/notes', {text: 'hi'})
  .catch(error => { console.error(error.message); process.exit(1) })
