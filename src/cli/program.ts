// What `bin/run.js` starts with: built together with the commands, so that every start reads one copy of oclif, in one
// file.
export { execute } from '@oclif/core'
