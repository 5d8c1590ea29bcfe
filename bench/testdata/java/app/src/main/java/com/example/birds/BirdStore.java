package com.example.birds;

import java.net.URI;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import java.util.Optional;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.jdbc.support.GeneratedKeyHolder;
import org.springframework.stereotype.Repository;

@Repository
public class BirdStore {
    private final JdbcClient database;
    private final Settings settings;

    public BirdStore(JdbcClient database, Settings settings) {
        this.database = database;
        this.settings = settings;
    }

    public List<Bird> after(long id) {
        return database.sql("select id, name, song from birds where id > ? order by id limit ?")
                .params(id, settings.page())
                .query(BirdStore::bird)
                .list();
    }

    public Optional<Bird> find(long id) {
        return database.sql("select id, name, song from birds where id = ?").param(id).query(BirdStore::bird).optional();
    }

    public Bird add(String name, URI song) {
        GeneratedKeyHolder key = new GeneratedKeyHolder();
        database.sql("insert into birds (name, song) values (?, ?)")
                .params(name, song == null ? null : song.toString())
                .update(key, "id");
        return new Bird(key.getKeyAs(Long.class), name, song);
    }

    private static Bird bird(ResultSet row, int number) throws SQLException {
        String song = row.getString("song");
        return new Bird(row.getLong("id"), row.getString("name"), song == null ? null : URI.create(song));
    }
}
