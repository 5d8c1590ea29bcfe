export default defineEventHandler((event) => {
  return { bird: getQuery(event).name, mode: process.env.NODE_ENV, user: process.getuid() };
});
