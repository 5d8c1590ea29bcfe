package com.example.birds;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.javalin.Javalin;

/** Serves the list as JSON. */
public final class Server {
    private Server() {}

    public static void main(String[] args) throws JsonProcessingException {
        String birds = new ObjectMapper().writeValueAsString(Birds.all());
        Javalin.create(config -> config.showJavalinBanner = false)
                .get("/", ctx -> ctx.contentType("application/json").result(birds))
                .start(Integer.parseInt(System.getenv().getOrDefault("PORT", "8080")));
    }
}
