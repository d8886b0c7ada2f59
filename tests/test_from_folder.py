"""From a folder of images to a trained model and a prediction in a few lines, on synthetic images."""

import io

import numpy as np

import minicnn as mc


def test_from_a_folder_to_a_model_to_a_prediction(drawn, tmp_path):
    train, validation = mc.data.from_directory(
        drawn, image_size=24, validation_split=0.25, seed=0, cache=False
    )
    model = mc.Sequential(
        [mc.Conv2D(8, 3, activation="relu"), mc.MaxPool2D(2), mc.Flatten(), mc.Dense(1, activation="sigmoid")]
    )
    model.compile(mc.Adam(0.003), metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=6, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] and model.class_names == ["cat", "dog"]
    assert model.preprocessing["height"] == 24 and "val_accuracy" in history.history
    model.save(tmp_path / "model.safetensors")
    predict = mc.Predictor(tmp_path / "model.safetensors")
    photo = next(drawn.rglob("dog*.png"))
    labels = predict(photo)
    assert list(labels) == ["cat", "dog"] and abs(sum(labels.values()) - 1) < 1e-6
    for source in (str(photo), photo.read_bytes(), io.BytesIO(photo.read_bytes())):
        assert predict(source) == labels
    decoded = mc.data.decode(photo, 24)
    p = float(model.predict(decoded[None])[0, 0])  # bytes are scaled as in training
    assert labels["dog"] == np.float32(p) or abs(labels["dog"] - p) < 1e-5
