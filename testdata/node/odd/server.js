const { createServer } = require("node:http");

const said = [process.env.BIRD, globalThis.early, ...process.argv.slice(2)].join(" ");
createServer((request, response) => response.end(said)).listen(process.env.PORT ?? 3000);
