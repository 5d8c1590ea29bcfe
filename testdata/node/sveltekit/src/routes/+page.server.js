import ms from 'ms';

export function load() {
	return { waited: ms('3s') };
}
