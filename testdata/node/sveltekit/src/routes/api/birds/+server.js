import { json } from '@sveltejs/kit';

export function GET({ url }) {
	return json({ bird: url.searchParams.get('name'), mode: process.env.NODE_ENV, user: process.getuid() });
}
