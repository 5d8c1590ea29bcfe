import assert from "node:assert";
import test from "node:test";
import isOdd from "is-odd";

test("one is odd", () => assert(isOdd(1)));
