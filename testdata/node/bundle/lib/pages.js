const fs = require("node:fs");
const path = require("node:path");

exports.read = (name) => fs.readFileSync(path.join(__dirname, "../pages", name), "utf8");
