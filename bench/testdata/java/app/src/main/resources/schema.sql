create table birds (
  id bigint generated always as identity primary key,
  name varchar(80) not null,
  song varchar(2000)
);
