package com.example.birds;

import java.net.URI;

public record Bird(long id, String name, URI song) {}
