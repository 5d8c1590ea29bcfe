const { createServer } = require("node:http");
const { crc32 } = require("@node-rs/crc32");

createServer((request, response) => response.end(`${crc32("hello")}\n`)).listen(process.env.PORT ?? 3000);
