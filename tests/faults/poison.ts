// Loaded before a process (`node --import`) by row 21 alone: an event whose properties have the member `poison` ends the
// process that makes one form of it, in the midst of its work, as a fault of the runtime would.
const { stringify } = JSON

function deadly(...args: Parameters<typeof stringify>): string {
  const [value] = args
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'poison'))
    process.kill(process.pid, 'SIGKILL')
  return stringify(...args)
}
JSON.stringify = deadly as typeof JSON.stringify
