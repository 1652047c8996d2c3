// axios as it was: an https URL goes to the proxy in absolute form, without a CONNECT.
require('axios-old').post('https://axios-old.test/notes', {text: 'hi'})
  .catch(error => { console.error(error.message); process.exit(1) })
