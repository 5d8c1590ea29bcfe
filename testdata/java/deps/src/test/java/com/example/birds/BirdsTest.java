package com.example.birds;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class BirdsTest {
    @Test
    void listsAll() {
        assertEquals(List.of(new Bird("robin", 2), new Bird("wren", 1)), Birds.all());
    }
}
