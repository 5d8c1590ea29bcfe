export function loader({ request }) {
  const bird = new URL(request.url).searchParams.get("name");
  return Response.json({ bird, mode: process.env.NODE_ENV, user: process.getuid() });
}
