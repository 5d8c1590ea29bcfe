package com.example.perch;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class PerchApplication {
    public static void main(String[] args) {
        SpringApplication.run(PerchApplication.class, args);
    }

    @GetMapping("/")
    public String hello() {
        return "hello from bootJar";
    }
}
