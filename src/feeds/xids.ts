/** What an XID of NVIDIA's driver asks for: nothing of the hardware, a reset or reboot, or somebody who looks at it. */
export type XidNeeds = 'nothing' | 'restart' | 'technician'

/**
 * XIDs by number. 13, 31, 43, 45 and 68 are what NVIDIA's Kubernetes device plugin passes over, read in its source. What
 * the others ask for is our own reading of what is written of them, to be checked against NVIDIA's Xid catalog
 * (https://docs.nvidia.com/deploy/xid-errors/) by whoever runs these accelerators: `harmlessXids` changes it. In doubt an
 * XID asks for a technician.
 */
export const XIDS: Readonly<Record<number, { readonly says: string; readonly needs: XidNeeds }>> = {
  8: { says: 'GPU stopped processing', needs: 'nothing' },
  11: { says: 'invalid or corrupted push buffer stream', needs: 'nothing' },
  13: { says: 'graphics engine exception of an application', needs: 'nothing' },
  31: { says: 'memory page fault of an application', needs: 'nothing' },
  43: { says: 'channel of an application was reset', needs: 'nothing' },
  45: { says: 'channel torn down after an earlier error, or because its process ended', needs: 'nothing' },
  48: { says: 'double-bit ECC error', needs: 'technician' },
  62: { says: 'halt of the internal micro-controller', needs: 'technician' },
  63: { says: 'page retirement or row remapping recorded', needs: 'nothing' },
  64: { says: 'page retirement or row remapping failed', needs: 'technician' },
  68: { says: 'exception of the video processor', needs: 'nothing' },
  69: { says: 'graphics engine class error', needs: 'nothing' },
  74: { says: 'NVLink error', needs: 'technician' },
  79: { says: 'GPU has fallen off the bus', needs: 'technician' },
  92: { says: 'high rate of single-bit ECC errors', needs: 'technician' },
  94: { says: 'contained ECC error, of which one application was told', needs: 'restart' },
  95: { says: 'uncontained ECC error', needs: 'technician' },
  109: { says: 'context switch timeout of an application', needs: 'nothing' },
  110: { says: 'security fault', needs: 'technician' },
  119: { says: 'GSP firmware did not answer', needs: 'technician' },
  120: { says: 'error of the GSP firmware', needs: 'technician' },
  121: { says: 'chip-to-chip link error', needs: 'restart' },
  123: { says: 'power management firmware failed', needs: 'technician' },
  140: { says: 'unrecovered ECC error', needs: 'technician' },
  143: { says: 'GPU could not be initialised', needs: 'technician' },
  154: { says: 'the driver says that the GPU has to be recovered', needs: 'technician' },
  156: { says: 'a resource was retired', needs: 'nothing' },
  157: { says: 'retiring a resource failed', needs: 'technician' },
}

/** What an XID asks for. One that nobody here knows asks for a look, as the device plugin has it. */
export const xidNeeds = (xid: number): XidNeeds => (xid === 0 ? 'nothing' : (XIDS[xid]?.needs ?? 'technician'))

/** An XID as people read it. */
export const xidText = (xid: number): string => `XID ${xid} (${XIDS[xid]?.says ?? 'not in our list'})`
