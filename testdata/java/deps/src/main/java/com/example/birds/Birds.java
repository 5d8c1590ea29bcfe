package com.example.birds;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The birds that birds.txt lists. */
public final class Birds {
    private Birds() {}

    public static List<Bird> all() {
        var in = Birds.class.getResourceAsStream("birds.txt");
        try (var lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
            return lines.lines().map(l -> l.split(" ")).map(w -> new Bird(w[0], Integer.parseInt(w[1]))).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Prints the list. */
    public static void main(String[] args) {
        all().forEach(System.out::println);
    }
}
