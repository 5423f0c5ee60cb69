"""READ FIRST: the whole data flow, one short function per verb.

nuclei ──► Condition ──► StructureEncoder ──► features ─┐   once per image
reference tile ──► Appearance (stain frame, style) ─────┤
noise(seed, item) ──► solver ◄── Denoiser (base + adapter)  at every step
                        │
                        ▼
        clean latents ──► autoencoder ──► canonical stain ──► the reference's stain
                                                                   │
complete only:   known pixels + hole ──► paste (bit for bit outside) ◄┘
                        │
                        └──► tissue copied into the hole, which the solver starts from
"""
