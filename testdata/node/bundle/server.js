const express = require("express");
const pages = require("./lib/pages");

const app = express();
app.get("/", (request, response) => response.send(pages.read("hello.txt")));
app.get("/stack", (request, response) => response.send(new Error("where").stack));

// Others require this file for its application alone.
if (require.main === module) app.listen(process.env.PORT ?? 3000);

module.exports = app;
