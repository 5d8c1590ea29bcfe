// Uses what the image "node" has: languages and time zones, TLS, HTTP, name
// service, compression, threads. The arguments are the version that is wanted, as
// 24, and a folder with a certificate authority and a certificate of it for
// localhost.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import dgram from 'node:dgram';
import { Resolver, lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import zlib from 'node:zlib';

const [version, dir] = process.argv.slice(2);
const at = new Date('2024-07-01T12:00:00Z');
const bundle = '/etc/ssl/certs/ca-certificates.crt';
const answer = (req, res) => res.end('hello');

// The number of a server's port once it listens.
const listen = async (server) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
};

const get = (client, options) =>
  new Promise((resolve, reject) => {
    client
      .get({ host: 'localhost', agent: false, timeout: 20000, ...options }, (res) => {
        let body = '';
        res.setEncoding('utf8');
        res.on('data', (part) => (body += part));
        res.on('end', () => resolve(body));
      })
      .on('error', reject);
  });

const checks = {
  version() {
    assert.equal(process.versions.node.split('.')[0], version);
  },
  'user and files'() {
    assert.equal(process.getuid(), 65532);
    assert.equal(os.userInfo().username, 'nonroot');
    assert.throws(() => writeFileSync('/home/nonroot/file', ''), { code: 'EROFS' });
    writeFileSync('/tmp/file', 'é');
  },
  languages() {
    // Blanks that do not break lines differ between releases of ICU.
    const plain = (s) => s.replace(/[\u00a0\u202f]/g, ' ');
    assert.equal(new Intl.NumberFormat('de-DE').format(1234567.89), '1.234.567,89');
    assert.equal(plain(new Intl.NumberFormat('fr-FR', { style: 'currency', currency: 'EUR' }).format(1234.5)), '1 234,50 €');
    assert.equal(new Intl.DateTimeFormat('ja-JP', { dateStyle: 'full', timeZone: 'UTC' }).format(at), '2024年7月1日月曜日');
    assert.equal(new Intl.NumberFormat('ar-EG').format(123), '١٢٣');
    assert.equal(new Intl.PluralRules('pl').select(3), 'few');
    assert.deepEqual(['z', 'ä', 'a'].sort(new Intl.Collator('sv').compare), ['a', 'z', 'ä']);
    assert.deepEqual(['z', 'ä', 'a'].sort(new Intl.Collator('de').compare), ['a', 'ä', 'z']);
    assert.equal('İ'.toLocaleLowerCase('tr'), 'i');
  },
  'time zones'() {
    const hour = (timeZone) => new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone }).format(at);
    assert.equal(hour('Europe/Berlin'), '14:00');
    assert.equal(hour('Asia/Kolkata'), '17:30');
    process.env.TZ = 'America/New_York';
    assert.equal(at.getTimezoneOffset(), 240);
    delete process.env.TZ;
  },
  certificates() {
    assert(tls.rootCertificates.length > 100);
    const texts = readFileSync(bundle, 'utf8').match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g);
    assert(texts.length > 100);
    for (const text of texts) assert(new X509Certificate(text).ca);
    // What --use-system-ca trusts; Node 20 has no such option.
    if (tls.getCACertificates) assert(tls.getCACertificates('system').length > 100);
  },
  async TLS() {
    const server = https.createServer({ cert: readFileSync(dir + '/cert.pem'), key: readFileSync(dir + '/key.pem') }, answer);
    const port = await listen(server);
    try {
      await assert.rejects(get(https, { port }), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
      const ca = [...tls.rootCertificates, readFileSync(dir + '/ca.pem')];
      assert.equal(await get(https, { port, ca }), 'hello');
      // Node has authorities of its own unless it is told to trust those of the
      // system. OpenSSL takes all of a file or nothing: what comes after the
      // image's bundle is trusted if that can be read.
      writeFileSync('/tmp/ca.pem', readFileSync(bundle, 'utf8') + readFileSync(dir + '/ca.pem', 'utf8'));
      const script = `require('node:https').get('https://localhost:${port}/', { agent: false }, (res) => res.pipe(process.stdout))`;
      const env = { ...process.env, SSL_CERT_FILE: '/tmp/ca.pem' };
      const { stdout } = await promisify(execFile)(process.execPath, ['--use-openssl-ca', '-e', script], { env, timeout: 20000 });
      assert.equal(stdout, 'hello');
    } finally {
      server.close();
    }
  },
  async HTTP() {
    const server = http.createServer(answer);
    const port = await listen(server);
    try {
      assert.equal(await get(http, { port }), 'hello');
      const res = await fetch(`http://localhost:${port}/`, { headers: { connection: 'close' } });
      assert.equal(await res.text(), 'hello');
    } finally {
      server.close();
    }
  },
  async 'names of hosts'() {
    assert.equal((await lookup('localhost', { family: 4 })).address, '127.0.0.1');
  },
  async 'names in DNS'() {
    const server = dgram.createSocket('udp4');
    server.on('message', (query, from) => {
      const question = query.subarray(12, query.indexOf(0, 12) + 1 + 4);
      // The query's number; a response, recursion is desired and available; a
      // question, an answer.
      const head = [...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
      // The name that was asked for, an address of the Internet, for a minute.
      const address = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
      server.send(Buffer.from([...head, ...question, ...address]), from.port, from.address);
    });
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const resolver = new Resolver({ timeout: 5000, tries: 2 });
    resolver.setServers([`127.0.0.1:${server.address().port}`]);
    try {
      assert.deepEqual(await resolver.resolve4('bird.test'), ['192.0.2.1']);
    } finally {
      server.close();
    }
  },
  'compression and checksums'() {
    const text = Buffer.from('hello'.repeat(100));
    assert.deepEqual(zlib.gunzipSync(zlib.gzipSync(text)), text);
    assert.deepEqual(zlib.brotliDecompressSync(zlib.brotliCompressSync(text)), text);
    assert.match(createHash('sha256').digest('hex'), /^e3b0c442/);
  },
  async threads() {
    const worker = new Worker("require('node:worker_threads').parentPort.postMessage(42)", { eval: true });
    assert.equal((await once(worker, 'message'))[0], 42);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (err) {
    console.log(`${name}: does not work`);
    console.log(err);
    process.exitCode = 1;
  }
}
if (!process.exitCode) console.log('everything works');
