package com.example.birds;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationPropertiesScan;

@SpringBootApplication
@ConfigurationPropertiesScan
public class BirdsApplication {
    static final String REVISION = "0";

    public static void main(String[] args) {
        SpringApplication.run(BirdsApplication.class, args);
    }
}
