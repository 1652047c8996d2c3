// undici from npm, by its own agent for proxies.
const { EnvHttpProxyAgent, request } = require('undici')
request('https://undici.test/notes', {method: 'POST', body: '{"text":"hi"}', dispatcher: new EnvHttpProxyAgent()})
  .then(answer => { if (answer.statusCode >= 400) throw new Error(answer.statusCode); return answer.body.dump() })
  .then(() => process.exit(0))
  .catch(error => { console.error(error.message); process.exit(1) })
