package com.example.birds;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import jakarta.validation.Valid;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.Size;
import java.net.URI;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

@RestController
@RequestMapping("/birds")
public class BirdController {
    private static final Logger log = LoggerFactory.getLogger(BirdController.class);

    private final BirdStore store;
    private final Counter added;

    public BirdController(BirdStore store, MeterRegistry metrics) {
        this.store = store;
        this.added = metrics.counter("birds.added", "revision", BirdsApplication.REVISION);
    }

    record NewBird(@NotBlank @Size(max = 80) String name, URI song) {}

    @GetMapping
    List<Bird> list(@RequestParam(defaultValue = "0") long after) {
        return store.after(after);
    }

    @GetMapping("/{id}")
    Bird find(@PathVariable long id) {
        return store.find(id).orElseThrow(() -> new ResponseStatusException(HttpStatus.NOT_FOUND, "no such bird"));
    }

    @PostMapping
    @ResponseStatus(HttpStatus.CREATED)
    Bird add(@Valid @RequestBody NewBird given) {
        Bird bird = store.add(given.name(), given.song());
        added.increment();
        log.info("added {}", bird);
        return bird;
    }
}
