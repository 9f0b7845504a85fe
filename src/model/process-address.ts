/** The most processes of one hubward. */
export const PROCESSES_MAX = 64

/** The socket of one of several processes behind a cluster: the first has the path as it is, the second `path.1`. */
export const processSocket = (path: string, index: number): string => (index === 0 ? path : `${path}.${index}`)

/** The port of one of several processes: they follow each other. 0 stays 0, any free one. */
export const processPort = (port: number, index: number): number => (port === 0 ? 0 : port + index)
