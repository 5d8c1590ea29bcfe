import adapter from '@sveltejs/adapter-node';

/** @type {import('@sveltejs/kit').Config} */
export default {
	kit: {
		adapter: adapter(),
		// The time of the build without this: no two builds would be the same.
		version: { name: process.env.BIRDHOUSE_BUILD_ID }
	}
};
