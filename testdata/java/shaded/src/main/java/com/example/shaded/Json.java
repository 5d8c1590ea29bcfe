package com.example.shaded;

import com.google.gson.Gson;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Prints its arguments as JSON. */
@Command(name = "json", mixinStandardHelpOptions = true)
public final class Json implements Callable<Integer> {
    @Parameters
    List<String> words = List.of();

    @Override
    public Integer call() {
        System.out.println(new Gson().toJson(words));
        return 0;
    }

    public static void main(String[] args) {
        System.exit(new CommandLine(new Json()).execute(args));
    }
}
