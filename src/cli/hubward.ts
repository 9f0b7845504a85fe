#!/usr/bin/env -S node --max-semi-space-size=4
import { runProgram } from './program.ts'

await runProgram(process.argv.slice(2))
