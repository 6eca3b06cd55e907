#!/usr/bin/env node
import { execute } from '../dist/src/cli/program.js'

await execute({ dir: import.meta.url })
