package com.example.nest;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class NestApplication {
    @Value("${nest.bird}")
    private String bird;

    public static void main(String[] args) {
        SpringApplication.run(NestApplication.class, args);
    }

    @GetMapping("/")
    public String hello() {
        return "hello from spring, " + bird;
    }
}
