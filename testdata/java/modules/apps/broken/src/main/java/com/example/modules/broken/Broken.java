package com.example.modules.broken;

/** Does not compile, which is no matter to what does not need it. */
public final class Broken extends Missing {}
