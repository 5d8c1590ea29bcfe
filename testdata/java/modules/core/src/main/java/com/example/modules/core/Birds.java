package com.example.modules.core;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableSortedSet;

/** What the modules have in common. */
public final class Birds {
    private Birds() {}

    public static String list() {
        return Joiner.on(", ").join(ImmutableSortedSet.of("wren", "robin", "swift"));
    }

    /** A library has a main of its own, which is not the program's. */
    public static void main(String[] args) {
        System.out.println(list());
    }
}
