const { createServer } = require("node:http");
const features = require("cpu-features");

createServer((request, response) => response.end(`${features().arch}\n`)).listen(process.env.PORT ?? 3000);
