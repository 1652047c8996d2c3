'use strict';
// Makes Node clients that ignore proxy variables obey them: agents of an SDK's own, and fetch.  NODE_OPTIONS=--require;
// Node 16 or newer.  The CA needs nothing here, since Node itself reads NODE_EXTRA_CA_CERTS.
//
// Both kinds end at a connection that somebody makes, so that is what changes: to an https host it is a tunnel through
// the proxy, and a plain http request is sent to the proxy in absolute form.  Whatever fails here is one line on
// stderr, and the agent runs on as if this file were not there.

const complain = (what, error) =>
  process.stderr.write(`sidecar shim: ${what} is left as it is: ${error && error.message}\n`);

function attempt(what, change) {
  try { change(); } catch (error) { complain(what, error); }
}

function variable(name) {
  return process.env[name] || process.env[name.toUpperCase()] || '';
}

function proxyOf(scheme, host) {
  const url = variable(`${scheme}_proxy`);
  if (!url || bypassed(host)) return null;
  const proxy = new URL(url);
  return proxy.protocol === 'http:' ? proxy : null;
}

function bypassed(host) {
  const name = String(host).toLowerCase().replace(/^\[|\]$/g, '');
  return variable('no_proxy').toLowerCase().split(/[\s,]+/).some(entry => {
    if (!entry) return false;
    if (entry === '*') return true;
    const suffix = entry.replace(/^\*?\./, '').replace(/^\[|\]$/g, '');
    return name === suffix || name.endsWith(`.${suffix}`);
  });
}

const port = proxy => Number(proxy.port) || 80;
const address = proxy => proxy.hostname.replace(/^\[|\]$/g, '');

function credentials(proxy) {
  if (!proxy.username) return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

// Node from 22.21 and 24.5 on reads the variables itself for its global agent and for fetch.
const [major, minor] = process.versions.node.split('.').map(Number);
const native = process.env.NODE_USE_ENV_PROXY === '1'
  && (major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21));

attempt('http', () => {
  const http = require('http');
  const https = require('https');
  const net = require('net');
  const tls = require('tls');
  const connectPlain = http.Agent.prototype.addRequest;
  const connectSecure = https.Agent.prototype.createConnection;

  const own = agent => agent && agent.options && agent.options.proxyEnv;

  // `done` gets a socket to host:port on which nobody has spoken yet.
  function tunnel(proxy, host, to, done) {
    const target = `${host.includes(':') ? `[${host}]` : host}:${to}`;
    const request = http.request({
      method: 'CONNECT', path: target, host: address(proxy), port: port(proxy),
      headers: { Host: target, ...credentials(proxy) },
      createConnection: options => net.connect({ host: options.host, port: options.port }),
    });
    request.once('connect', (answer, socket) => {
      if (answer.statusCode === 200) return done(null, socket);
      socket.destroy();
      const error = new Error(`the proxy answered ${answer.statusCode} to CONNECT ${target}`);
      error.code = 'EPROXYREFUSED';
      return done(error);
    });
    request.once('error', done);
    request.end();
  }

  https.Agent.prototype.createConnection = function createConnection(...args) {
    const options = args[0];
    const host = options && (options.host || options.hostname);
    const proxy = host && !options.socketPath && !own(this) && proxyOf('https', host);
    const done = args.find(argument => typeof argument === 'function');
    if (!proxy || !done) return connectSecure.apply(this, args);
    tunnel(proxy, host, options.port || 443, (error, socket) => {
      if (error) return done(error);
      const servername = options.servername || (net.isIP(host) ? '' : host);
      return done(null, connectSecure.call(this, { ...options, socket, servername }));
    });
    return undefined;
  };

  http.Agent.prototype.addRequest = function addRequest(request, options, ...rest) {
    const host = options && (options.host || options.hostname);
    const plain = this.protocol === 'http:' && host && !options.socketPath && !own(this);
    const proxy = plain && request.method !== 'CONNECT' && proxyOf('http', host);
    if (!proxy) return connectPlain.call(this, request, options, ...rest);
    const authority = `${host.includes(':') ? `[${host}]` : host}${options.port && Number(options.port) !== 80 ? `:${options.port}` : ''}`;
    const sent = request._header;  // made already where the headers were given as a list
    const target = `http://${authority}${request.path}`;
    if (sent) request._header = sent.replace(request.path, target);
    request.path = target;
    if (!sent) for (const [name, value] of Object.entries(credentials(proxy))) request.setHeader(name, value);
    return connectPlain.call(this, request, { ...options, host: address(proxy), hostname: address(proxy), port: port(proxy) }, ...rest);
  };

  if (!native) attempt('fetch', () => fetchThrough(tunnel, tls));
});

// Node's own fetch is undici, whose dispatcher anybody may set under a symbol.  It has no name for us to import, but
// the one that is set is an instance of it.
function fetchThrough(tunnel, tls) {
  if (typeof fetch !== 'function') return;
  const place = Symbol.for('undici.globalDispatcher.1');
  void globalThis.Headers;  // loads undici, which sets the dispatcher
  const first = globalThis[place];
  if (!first) throw new Error('this Node has no dispatcher to replace');

  class Dispatcher extends first.constructor {
    dispatch(options, handler) {
      const origin = new URL(String(options.origin));
      const proxy = origin.protocol === 'http:' && proxyOf('http', origin.hostname);
      if (!proxy) return super.dispatch(options, handler);
      const added = { host: origin.host, ...credentials(proxy) };
      const headers = Array.isArray(options.headers)
        ? [...options.headers, ...Object.entries(added).flat()]
        : { ...options.headers, ...added };
      return super.dispatch({ ...options, headers, origin: proxy.origin, path: `${origin.origin}${options.path}` }, handler);
    }
  }

  globalThis[place] = new Dispatcher({
    connect(options, done) {
      const host = options.hostname.replace(/^\[|\]$/g, '');
      const secure = options.protocol === 'https:';
      const proxy = secure && proxyOf('https', host);
      const shake = socket => {
        const made = secure
          ? tls.connect({ host, port: Number(options.port) || 443, socket, servername: options.servername || host, ALPNProtocols: ['http/1.1'] })
          : require('net').connect({ host, port: Number(options.port) || 80 });
        made.setNoDelay(true);
        made.once(secure ? 'secureConnect' : 'connect', () => { made.off('error', done); done(null, made); });
        made.once('error', done);
      };
      if (!proxy) return shake(undefined);
      return tunnel(proxy, host, options.port || 443, (error, socket) => (error ? done(error) : shake(socket)));
    },
  });
}
