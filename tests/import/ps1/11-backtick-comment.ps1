$lr = 1e-4
accelerate launch sdxl_train_network.py `
  --network_module=networks.lora `
  # --network_dim=128 `
  --network_dim=64 `
  --learning_rate=$lr ` 
  --caption_extension=.txt `

Write-Host "done"
