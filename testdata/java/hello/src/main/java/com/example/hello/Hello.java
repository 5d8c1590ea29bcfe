package com.example.hello;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Answers every request with a greeting. */
public final class Hello {
    private Hello() {}

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        String greeting = greeting();
        server.createContext("/", exchange -> answer(exchange, greeting));
        server.createContext("/env", exchange -> answer(exchange, environment()));
        server.start();
    }

    private static String greeting() throws IOException {
        try (InputStream in = Hello.class.getResourceAsStream("/greeting.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).strip() + " from java";
        }
    }

    private static String environment() throws IOException {
        Path file = Files.createTempFile("hello", null);
        Files.delete(file);
        return String.join(" ",
                "java", String.valueOf(Runtime.version().feature()),
                System.getProperty("user.dir"),
                String.valueOf(Files.getAttribute(Path.of("/proc/self"), "unix:uid")),
                file.getParent().toString(),
                System.getProperty("sun.jnu.encoding"),
                "heap", String.valueOf(Runtime.getRuntime().maxMemory() >> 20));
    }

    private static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(200, body.length);
        try (var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }
}
