exports.wait = require("ms")("1s");
