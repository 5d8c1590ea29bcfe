package com.example.app;

import com.example.birds.Birds;
import com.google.gson.Gson;

public final class App {
    private App() {}

    public static void main(String[] args) {
        System.out.println(new Gson().toJson(Birds.all()));
    }
}
