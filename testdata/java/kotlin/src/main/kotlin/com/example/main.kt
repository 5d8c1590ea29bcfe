package com.example

import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress

data class Bird(val name: String, val count: Int)

fun main() {
    val port = System.getenv("PORT")?.toInt() ?: 8080
    val birds = listOf(Bird("robin", 2), Bird("wren", 1))
    HttpServer.create(InetSocketAddress(port), 0).apply {
        createContext("/") { exchange ->
            val body = birds.joinToString { "${it.count} ${it.name}" }.toByteArray()
            exchange.sendResponseHeaders(200, body.size.toLong())
            exchange.responseBody.use { it.write(body) }
        }
        start()
    }
}
