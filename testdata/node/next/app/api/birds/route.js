// Asked for anew at every request.
export const dynamic = "force-dynamic";

export function GET(request) {
  const name = new URL(request.url).searchParams.get("name");
  return Response.json({ bird: name, mode: process.env.NODE_ENV, user: process.getuid() });
}
