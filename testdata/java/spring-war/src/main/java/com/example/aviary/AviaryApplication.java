package com.example.aviary;

import jakarta.servlet.annotation.WebServlet;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.boot.web.servlet.support.SpringBootServletInitializer;

@SpringBootApplication
@ServletComponentScan
public class AviaryApplication extends SpringBootServletInitializer {
    public static void main(String[] args) {
        SpringApplication.run(AviaryApplication.class, args);
    }

    @Override
    protected SpringApplicationBuilder configure(SpringApplicationBuilder application) {
        return application.sources(AviaryApplication.class);
    }

    /** Answers with a file of the war that is no class. */
    @WebServlet("/servlet")
    public static class Birds extends HttpServlet {
        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            try (var in = getServletContext().getResourceAsStream("/index.html")) {
                response.getOutputStream().print(new String(in.readAllBytes()).strip());
            }
        }
    }
}
