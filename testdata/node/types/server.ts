import { createServer } from "node:http";
import ms from "ms";
import { greeting } from "./greeting.ts";

createServer((request, response) => response.end(greeting(ms("3s") as number))).listen(process.env.PORT ?? 3000);
