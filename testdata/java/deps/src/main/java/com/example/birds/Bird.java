package com.example.birds;

import lombok.Value;

/** A bird and how many of them there are. */
@Value
public class Bird {
    String name;
    int count;
}
