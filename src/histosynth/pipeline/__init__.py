"""READ FIRST: one module a verb, each to be read from top to bottom.

synthesize    nuclei, appearance ──► tiles                     synthesize_files: the same on files
complete      image, mask ──► the same image, filled           complete_files: the same on files
prepare       slides ──► tile set                              prepare_steps: single steps
inspecting    slides, annotations ──► what they are            (verb `prepare inspect`)
train         tile set, recipe ──► weights                     train_quality: artefact classifier
evaluate      real tiles, synthetic tiles ──► report           membership: a bundle's losses
bundle        inspect, convert and publish weights             agreement: two annotators compared
demo          a layout ──► tiles, damage, completions          demo_pictures, demo_files, demo_page
doctor        facts about this machine and the bundle

Everything else is a detail of one of them. `train` reads `train_options`; `train_context` gives it
pictures for validation and a `copy_guard`, which stops a run that begins to copy. `headline`
chooses what `evaluate` shows on the terminal. `default_bundle` is the bundle inside the package,
and `engines` starts the processes of `prepare` and `evaluate`.

How a picture is sampled (`synthesize` and `complete`):

nuclei ──► Condition ──► StructureEncoder ──► features ─┐   once per image
reference tile ──► Appearance (stain frame, style) ─────┤
noise(seed, item) ──► solver ◄── Denoiser (base + adapter)  at every step
                        │
                        ▼
        clean latents ──► autoencoder ──► canonical stain ──► the reference's stain
                                                                   │
complete only:   known pixels + mask ──► paste (bit for bit outside) ◄┘
                        │
                        └──► tissue copied into the mask, which the solver starts from
"""
