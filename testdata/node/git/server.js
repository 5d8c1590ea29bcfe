const http = require("node:http");
const { text } = require("lib");

http.createServer((request, response) => response.end(text)).listen(process.env.PORT ?? 3000);
