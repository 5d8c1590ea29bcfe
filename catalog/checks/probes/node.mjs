// Uses what the image "node" has: languages and time zones, TLS, HTTP, name
// service, compression, threads. The arguments are the version that is wanted, as
// 24, and a folder with a certificate authority and a certificate of it for
// localhost.
import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';
import zlib from 'node:zlib';

const [version, dir] = process.argv.slice(2);
const at = new Date('2024-07-01T12:00:00Z');
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
    const bundle = readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g);
    assert(bundle.length > 100);
    for (const text of bundle) assert(new X509Certificate(text).ca);
  },
  async TLS() {
    const server = https.createServer({ cert: readFileSync(dir + '/cert.pem'), key: readFileSync(dir + '/key.pem') }, answer);
    const port = await listen(server);
    try {
      await assert.rejects(get(https, { port }), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
      const ca = [...tls.rootCertificates, readFileSync(dir + '/ca.pem')];
      assert.equal(await get(https, { port, ca }), 'hello');
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
