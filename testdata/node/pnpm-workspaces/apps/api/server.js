const http = require("node:http");
const { wait } = require("@acme/lib");

http.createServer((request, response) => response.end(`waited ${wait}\n`)).listen(process.env.PORT ?? 3000);
