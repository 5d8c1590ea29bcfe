const { createServer } = require("node:http");
const ms = require("ms");

createServer((request, response) => response.end(`waited ${ms("4s")}\n`)).listen(process.env.PORT ?? 3000);
