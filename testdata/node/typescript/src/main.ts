import { createServer } from "node:http";
import ms from "ms";

const wait: number = ms("2s");
createServer((request, response) => response.end(`waited ${wait}\n`)).listen(process.env.PORT ?? 3000);
