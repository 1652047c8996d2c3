'use strict';
// Runs in the agent's own Node: which clients are there, and where their calls end up.  The same contract as python.py:
// {"clients": {name: package or ""}, "urls": [...], "headers": {...}, "packages": [...]} on stdin, one object on stdout.
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');

const TIMEOUT_MS = 10000;
const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const folder = process.cwd();

function plain(url, agents) {
  const secure = url.startsWith('https:');
  const agent = agents && (secure ? agents.https : agents.http);
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).get(url, { headers: asked.headers, ...(agent ? { agent } : {}) }, answer => {
      answer.resume();
      resolve({ status: answer.statusCode, proxyStatus: answer.headers['proxy-status'] });
    });
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}

const PROBES = {
  fetch: async url => {
    const answer = await fetch(url, { headers: asked.headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { status: answer.status, proxyStatus: answer.headers.get('proxy-status') };
  },
  https: url => plain(url),
  'https.Agent': url => plain(url, { http: new http.Agent(), https: new https.Agent() }),
  axios: async url => {
    const answer = await load('axios').get(url, { headers: asked.headers, timeout: TIMEOUT_MS, validateStatus: () => true });
    return { status: answer.status, proxyStatus: answer.headers['proxy-status'] };
  },
};

function load(name) {
  return require(require.resolve(name, { paths: [folder] }));
}

// The nearest node_modules that has it, as require looks; read and not run, since a package may export no package.json.
function version(name) {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(at, 'node_modules', name, 'package.json'), 'utf8')).version;
    } catch { if (at === path.dirname(at)) return null; }
  }
}

function chain(error) {
  const said = [];
  for (let at = error; at && said.length < 6; at = at.cause) said.push(`${at.code || at.name}: ${at.message}`);
  return said.join(' <- ');
}

async function probe(name) {
  const found = [];
  for (const url of asked.urls) {
    try {
      const { status, proxyStatus } = await PROBES[name](url);
      found.push({ status, sidecar: String(proxyStatus).includes('agent-sidecar'), error: '' });
    } catch (error) {
      found.push({ status: 0, sidecar: false, error: chain(error) });
    }
  }
  return found;
}

(async () => {
  const versions = {};
  for (const name of asked.packages) {
    const found = version(name);
    if (found) versions[name] = found;
  }
  const probes = {};
  for (const [name, needs] of Object.entries(asked.clients)) {
    if (PROBES[name] && (!needs || versions[needs])) probes[name] = await probe(name);
  }
  fs.writeSync(1, JSON.stringify({ versions, probes, runtime: `Node ${process.versions.node}` }));
  process.exit(0);
})();
