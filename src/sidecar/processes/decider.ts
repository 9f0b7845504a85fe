// The entry of a decider: a process that hubward starts beside itself, and that only serves requests. It talks to the
// process that started it over its fourth file, and to nobody else but Envoy.
import { Socket } from 'node:net'
import { runDecider } from './run-decider.ts'

/** The file that the main process has opened for us. */
const CHANNEL_FD = 3

// Whoever ends hubward tells the main process; it drains all of us. Ctrl-C in a terminal goes to everybody.
process.on('SIGTERM', () => {}).on('SIGINT', () => {})
runDecider(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }))
